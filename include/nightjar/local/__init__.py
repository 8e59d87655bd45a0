"""Running on one machine: set-up, servers, and the commands of the Makefile."""
