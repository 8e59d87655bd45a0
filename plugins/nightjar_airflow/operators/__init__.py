"""Operators, one public class a file."""
