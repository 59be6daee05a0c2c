#include "common/link_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

/* A dialer that is turned away comes back, so few need to wait here. */
enum { BACKLOG = 8 };

static void close_keeping_errno(int fd)
{
    int error = errno;
    (void)close(fd);
    errno = error;
}

bool link_path_init(struct link_path *path, const char *link_dir, uint32_t slot)
{
    *path = (struct link_path){.address.sun_family = AF_UNIX};
    size_t room = sizeof path->address.sun_path;
    int len = snprintf(path->address.sun_path, room, "%s/slot-%u.ipc", link_dir, slot);
    if (len < 0 || (size_t)len >= room) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

static int open_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int link_path_dial(const struct link_path *path)
{
    int fd = open_socket();
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&path->address, sizeof path->address) != 0) {
        close_keeping_errno(fd);
        return -1;
    }
    return fd;
}

/* True: a socket that nobody listened at has been removed, or what was there has gone by itself. */
static bool remove_stale(const struct link_path *path)
{
    struct stat found;
    if (lstat(path->address.sun_path, &found) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(found.st_mode)) {
        return false;
    }
    int fd = link_path_dial(path);
    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    return errno == ENOENT || (errno == ECONNREFUSED && unlink(path->address.sun_path) == 0);
}

static bool bind_at(const struct link_path *path, int fd)
{
    return bind(fd, (const struct sockaddr *)&path->address, sizeof path->address) == 0;
}

/* Binds, taking a stale socket's place, and listens. */
static bool take_place(struct link_path *path, int fd)
{
    if (!bind_at(path, fd)) {
        if (errno != EADDRINUSE) {
            return false;
        }
        if (!remove_stale(path)) {
            errno = EADDRINUSE;
            return false;
        }
        if (!bind_at(path, fd)) {
            return false;
        }
    }
    struct stat made;
    if (lstat(path->address.sun_path, &made) != 0) {
        return false;
    }
    path->dev = made.st_dev;
    path->ino = made.st_ino;
    return listen(fd, BACKLOG) == 0;
}

/* Between the look at a stale socket and its removal, and between bind and listen, somebody else
 * who starts could take a place for stale that is not: one at a time in a directory. */
static int lock_dir(const struct link_path *path)
{
    char dir[sizeof path->address.sun_path];
    memcpy(dir, path->address.sun_path, sizeof dir);
    *strrchr(dir, '/') = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        close_keeping_errno(fd);
        return -1;
    }
    return fd;
}

int link_path_listen(struct link_path *path)
{
    int lock_fd = lock_dir(path);
    if (lock_fd < 0) {
        return -1;
    }
    int fd = open_socket();
    if (fd >= 0 && !take_place(path, fd)) {
        link_path_unlink(path);
        close_keeping_errno(fd);
        fd = -1;
    }
    close_keeping_errno(lock_fd);
    return fd;
}

void link_path_unlink(struct link_path *path)
{
    int error = errno;
    struct stat found;
    if (path->ino != 0 && lstat(path->address.sun_path, &found) == 0 && found.st_dev == path->dev &&
        found.st_ino == path->ino) {
        (void)unlink(path->address.sun_path);
    }
    path->ino = 0;
    errno = error;
}
