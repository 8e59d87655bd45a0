"""Notifiers, one public class a file."""
