"""What every stage runs on: jobs, processes, devices, files, locks and errors."""
