"""What the rule files share: the checked configuration, paths, targets and report inputs."""
