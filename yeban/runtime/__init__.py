"""Programs of one machine and the servers bundled with them."""
