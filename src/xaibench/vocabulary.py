"""The fixed word lists of command line, records and tables; imports neither PyTorch nor anything else."""

# Which pixels an explanation is about. The last two compare the prediction with the labels.
COMPARED_TARGETS = ("false-positives", "false-negatives")
TARGETS = ("vessels", "thin", "thick", *COMPARED_TARGETS)

SUITES = ("quick", "standard", "full", "truth")  # named choices of methods and metrics
PRECISIONS = ("float32", "bf16")  # of a network's convolutions and products

FILLS = ("inpaint", "blur", "mean", "zero")  # what a removed pixel is replaced with
REFERENCES = ("blur", "mean", "zero")  # the image without evidence: a method's parameter `baseline`

FILE_ROLES = ("image", "vessels", "fov", "observer2")  # what a file of a data set is to its case

# Of a map or a score, in a record.
STATUSES = ("ok", "skipped", "failed")

# Of a metric.
DIRECTIONS = ("higher", "lower", "zero", "none")  # which values are better; "zero" is nearest 0, "none" ranks nothing
MEASURED = ("map", "method", "cost")  # what a metric reads
MASKS = ("", "vessels", "thin", "thick")  # the labels that it compares a map with
INVARIANCES = ("", "rank", "scale")  # changes of a map that leave its score as it is

SUMS = ("", "difference", "score")  # what an attribution map promises to sum to

# Formats of output.
TABLE_FORMATS = ("table", "markdown", "csv", "latex", "html", "json")  # of leaderboards and metric tables
CLAIM_FORMATS = ("table", "markdown", "json")
FIGURE_FORMATS = ("png", "pdf", "svg", "jpg", "jpeg")
