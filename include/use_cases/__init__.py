"""Use cases, a folder each. A folder's ``use_case.py`` declares ``USE_CASE`` with the standard library alone."""
