#![doc = include_str!("../docs/tasks.md")]
