"""Single texts: the service behind them, API and page."""
