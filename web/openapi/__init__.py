"""The API's description of itself (OpenAPI 3.1), made from its routes and models."""
