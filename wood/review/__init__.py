"""Looking at images in FiftyOne: the review of hard OoD candidates, and browsing results."""
