"""A folder as HFS+ would have it: names are kept decomposed, found in any case and form, and have to be UTF-8.

    python3 hfs.py BACKING MOUNTPOINT       until it is unmounted (needs python3-fusepy)
"""
import errno
import os
import sys
import unicodedata

import fusepy as fuse


def kept(name):
    return unicodedata.normalize("NFD", name)


def key(name):
    return kept(name).casefold()


class Disk(fuse.Operations):
    def __init__(self, backing):
        self.backing = backing

    def real(self, path):
        at = self.backing
        for name in filter(None, path.split("/")):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise fuse.FuseOSError(errno.EILSEQ) from None
            try:
                stands = [other for other in os.listdir(at) if key(other) == key(name)]
            except OSError:
                stands = []
            at = os.path.join(at, stands[0] if stands else kept(name))
        return at

    def getattr(self, path, fh=None):
        facts = os.lstat(self.real(path))
        fields = "st_atime st_ctime st_gid st_mode st_mtime st_nlink st_size st_uid st_ino".split()
        return {field: getattr(facts, field) for field in fields}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.real(path))]

    def readlink(self, path):
        return os.readlink(self.real(path))

    def symlink(self, target, source):
        os.symlink(source, self.real(target))

    def rename(self, old, new):
        # The new name is kept as it is given, also where it is the old one in another case.
        old, new = self.real(old), self.real(os.path.dirname(new)) + "/" + kept(os.path.basename(new))
        stands = self.real(new.removeprefix(self.backing))
        if stands != old and os.path.lexists(stands):
            new = stands
        os.rename(old, new)

    def mkdir(self, path, mode):
        os.mkdir(self.real(path), mode)

    def rmdir(self, path):
        os.rmdir(self.real(path))

    def unlink(self, path):
        os.unlink(self.real(path))

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.real(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self.real(path), times, follow_symlinks=False)

    def create(self, path, mode, fi=None):
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        return os.open(self.real(path), flags & ~os.O_NOFOLLOW)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self.real(path), length)

    def release(self, path, fh):
        os.close(fh)

    def statfs(self, path):
        facts = os.statvfs(self.backing)
        return {field: getattr(facts, field) for field in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize")}


# Nothing is remembered by the kernel: a name may be found in many ways.
fuse.FUSE(Disk(os.path.abspath(sys.argv[1])), sys.argv[2], foreground=True, nothreads=True, use_ino=True,
          entry_timeout=0, attr_timeout=0, negative_timeout=0, default_permissions=True)
