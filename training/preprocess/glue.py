"""The script that AWS Glue starts; the code itself comes in ``--extra-py-files``."""

import os
import sys

from training.preprocess.job import main

# boto3 asks for a region, and Glue does not promise to name one to a script.
if "--region" in sys.argv[:-1]:
    os.environ.setdefault("AWS_DEFAULT_REGION", sys.argv[sys.argv.index("--region") + 1])
main()
