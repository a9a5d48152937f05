"""The script that AWS Glue starts; the code itself comes in ``--extra-py-files``."""

from training.preprocess.job import main

main()
