"""Page of the API's reference, with samples."""
