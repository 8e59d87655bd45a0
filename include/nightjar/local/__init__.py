"""One machine: set-up, servers, and the commands of the Makefile."""
