"""What the published programs compute on small inputs; tests/golden/README.md names them."""
