"""The command `millrace`: the way of the data by hand, on the laptop and on AWS alike."""
