"""The frame around every page: filters, navigation, preferences."""
