#!/bin/sh
# Prints running, success or failed: what Snakemake asks about the job with the number "$1".
# A scheduler that does not answer says nothing of the job, which must not run twice.
if ! state=$(squeue --noheader --states=all --format=%T --jobs="$1" 2>&1); then
  case "$state" in
    *"Invalid job id"*) echo failed ;;
    *) echo running ;;
  esac
  exit
fi
case "$state" in
  PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED) echo running ;;
  COMPLETED) echo success ;;
  *) echo failed ;;
esac
