"""Engines that train models, and their trained members."""
