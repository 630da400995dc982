"""What happens to touchpoints: pure rules (stitching, promises, friction) and the Faust worker around them."""
