"""The reference page: the OpenAPI document told in HTML, for whoever has a browser and the server."""
