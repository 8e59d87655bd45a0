"""Hooks, one public class a file."""
