"""An answer that is not what was asked for: its HTTP status and body, raised wherever it is found out."""


class Refusal(Exception):
    def __init__(self, status, message, **more):
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **more}


def invalid(details):
    """details: [(path, what is wrong)]. What a value says that it may not."""
    return Refusal(422, "Object is not valid", details=grouped(details))


def mistyped(details):
    """What is no value of its kind at all."""
    return Refusal(422, "Invalid JSON", details=grouped(details))


def grouped(details):
    paths = {}
    for path, error in details:
        paths.setdefault(path, []).append(error)
    return [{"path": path, "errors": errors} for path, errors in paths.items()]
