"""How touchpoints come in: the client library, files, and a simulated shop."""
