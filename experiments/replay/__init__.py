"""Arms compared offline: the same requests asked of all of them before any user gets one."""
