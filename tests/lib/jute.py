"""What ZooKeeper writes on the wire and in its logs (jute): numbers big-endian, a buffer behind its length."""
import struct


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def buffer(self):
        size = self.take("i")
        if size < 0:
            return b""
        self.at += size
        return self.data[self.at - size:self.at]

    def string(self):
        return self.buffer().decode()

    def strings(self):
        return [self.string() for _ in range(self.take("i"))]

    def acl(self):
        return [(self.take("i"), self.string(), self.string()) for _ in range(self.take("i"))]
