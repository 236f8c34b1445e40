#!/bin/sh
# Prints running, success or failed: what Snakemake asks about the job with the number "$1".
case "$(squeue --noheader --states=all --format=%T --jobs="$1")" in
  PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED) echo running ;;
  COMPLETED) echo success ;;
  *) echo failed ;;
esac
