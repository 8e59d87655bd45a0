"""Flight delays out of New York: will it arrive more than 15 minutes late? README.md is the model card."""
