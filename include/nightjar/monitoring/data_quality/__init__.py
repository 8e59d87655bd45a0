"""Quality of the data that landed: volumes, rejected rows and warnings."""
