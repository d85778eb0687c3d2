"""What is configured once, as Prefect blocks: credentials and checkpoint stores."""
