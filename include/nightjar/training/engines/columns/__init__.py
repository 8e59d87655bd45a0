"""Members that read their outputs from columns of the feature table."""
