"""Tests of Nightjar; a package, as one of the dependencies installs a package of the same name."""
