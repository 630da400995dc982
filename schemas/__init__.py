"""What a touchpoint, a journey, a promise and an alert are: models, catalogue, topics and settings. No I/O."""
