"""Links from tasks to what they made, one public class a file."""
