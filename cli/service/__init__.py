"""The commands that start a service, and those that ask one."""
