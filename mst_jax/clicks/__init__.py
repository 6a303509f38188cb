"""Click encoding and simulated users: functions of one example, batched with vmap."""
