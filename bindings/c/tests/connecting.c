/* Connecting and listening: addresses, names, paths, and what goes wrong. */
#include "harness.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static Socket *say_error(Socket *s, int code) {
    SAY("on_connect_error %d, established %d, reason %d", code, us_socket_is_established(0, s),
        us_socket_close_reason(0, s));
    return s;
}

static Socket *never_closed(Socket *s, int code, void *reason) {
    (void) s; (void) code; (void) reason;
    SAY("on_close of one that never opened");
    return s;
}

static Socket *close_server(Socket *s, int is_client) {
    if (is_client) return s;
    unsigned char ip[16];
    int length = 16, short_length = 3;
    us_socket_remote_address(0, s, (char *) ip, &length);
    us_socket_remote_address(0, s, (char *) ip, &short_length);
    SAY("address of %d bytes, %d without room; ports %d %d", length, short_length,
        us_socket_local_port(0, s) == port, us_socket_remote_port(0, s) > 0);
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

static Socket *close_local(Socket *s, int is_client) {
    if (is_client) return s;
    int length = 16;
    char ip[16];
    us_socket_remote_address(0, s, ip, &length);
    SAY("address of %d bytes, ports %d %d", length, us_socket_local_port(0, s),
        us_socket_remote_port(0, s));
    us_listen_socket_close(0, listener);
    return s;
}

static Socket *echo_end(Socket *s, char *d, int n) {
    SAY("the %s got %.*s", side(s), n, d);
    return us_socket_close(0, s, 0, 0);
}

static Socket *write_first(Socket *s, int is_client) {
    if (is_client) us_socket_write(0, s, "over a path", 11, 0);
    return is_client ? s : close_local(s, 0);
}

/* A listener whose queue is full answers nothing: connecting to it takes for ever. */
static int deaf, deaf_port, filler[2];

static int make_deaf(void) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    deaf = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(deaf, (struct sockaddr *) &at, sizeof at) || listen(deaf, 0)) return 0;
    getsockname(deaf, (struct sockaddr *) &at, &length);
    deaf_port = ntohs(at.sin_port);
    for (int i = 0; i < 2; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(filler[i], (struct sockaddr *) &at, sizeof at);
    }
    return 1;
}

static Socket *give_up(Socket *s) {
    SAY("on_timeout, established %d", us_socket_is_established(0, s));
    us_socket_close_connecting(0, s);
    return s;
}

static Socket *wait_on(Socket *s) {
    SAY("on_timeout, established %d", us_socket_is_established(0, s));
    return s;
}

static Socket *start_deaf(void) {
    return us_socket_context_connect(0, context, "127.0.0.1", deaf_port, NULL, 0,
        sizeof(struct data));
}

static void stop(Timer *timer) {
    us_timer_close(timer);
    us_socket_context_close(0, context);
}

static int all;

static Socket *write_and_go(Socket *s, int is_client) {
    static char text[1000];
    if (!is_client) return s;
    us_socket_write(0, s, text, sizeof text, 0);
    return us_socket_close(0, s, 0, 0);
}

static Socket *take_all(Socket *s, char *d, int n) {
    (void) d;
    all += n;
    return s;
}

static Socket *end_of_all(Socket *s) {
    SAY("%d bytes, then the end", all);
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

/* Without a turn for each of the writes that took nothing. */
static Socket *write_first_turns(Socket *s, int is_client) {
    if (!is_client) return s;
    SAY("opens within ten turns %d", us_loop_iteration_number(loop) < 10);
    us_listen_socket_close(0, listener);
    us_socket_write(0, s, "in time", 7, 0);
    return s;
}

/* What cannot be is NULL, and errno says why. */
#define REFUSED(call, number) do { \
        errno = 0; \
        int is_null = (call) == NULL; \
        SAY(#number ": %d %d", is_null, errno == (number)); \
    } while (0)

int main(void) {
    /* (W19, W21) */
    begin("nobody there", 0);
    us_listen_socket_close(0, listener);
    connect_one();
    on.connect_error = say_error; on.close = never_closed;
    finish();
    begin("a name", 0);
    us_listen_socket_close(0, listener);
    listen_at("localhost");
    us_socket_context_connect(0, context, "localhost", port, NULL, 0, sizeof(struct data));
    on.open = close_server;
    finish();
    /* (W25) */
    begin("every address", 0);
    us_listen_socket_close(0, listener);
    listen_at(NULL);
    connect_one();
    on.open = close_server;
    finish();
    begin("from an address of one's own", 0);
    us_socket_context_connect(0, context, "127.0.0.1", port, "127.0.0.2", 0, sizeof(struct data));
    on.open = close_server;
    finish();
    begin("a path", 0);
    us_listen_socket_close(0, listener);
    const char *path = "connecting.test.sock";
    listener = us_socket_context_listen_unix(0, context, path, 0, sizeof(struct data));
    struct stat status;
    SAY("listens %d, for oneself only %d", listener != NULL,
        stat(path, &status) == 0 && (status.st_mode & 0777) == 0700);
    us_socket_context_connect_unix(0, context, path, 0, sizeof(struct data));
    on.open = write_first; on.data = echo_end;
    finish();
    unlink(path);
    /* (W4) */
    begin("a path whose peer writes and goes at once", 0);
    us_listen_socket_close(0, listener);
    listener = us_socket_context_listen_unix(0, context, path, 0, sizeof(struct data));
    us_socket_context_connect_unix(0, context, path, 0, sizeof(struct data));
    on.open = write_and_go; on.data = take_all; on.end = end_of_all;
    finish();
    unlink(path);
    /* (W22) */
    begin("a path of something else", 0);
    us_listen_socket_close(0, listener);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    errno = 0;
    listener = us_socket_context_listen_unix(0, context, path, 0, sizeof(struct data));
    SAY("listens %d, errno %d, the file is there %d", listener != NULL, errno == EADDRINUSE,
        access(path, F_OK) == 0);
    unlink(path);
    for (int i = 0; i < 2; i++) {
        listener = us_socket_context_listen_unix(0, context, path, 0, sizeof(struct data));
        SAY("listens %d", listener != NULL);
        us_listen_socket_close(0, listener);
    }
    unlink(path);
    finish();
    /* (W22) */
    begin("a path that is too long, a name that is none", 0);
    us_listen_socket_close(0, listener);
    char long_path[200];
    memset(long_path, 'x', sizeof long_path);
    long_path[199] = 0;
    REFUSED(us_socket_context_listen_unix(0, context, long_path, 0, 0), EINVAL);
    REFUSED(us_socket_context_connect_unix(0, context, long_path, 0, 0), EINVAL);
    REFUSED(us_socket_context_connect_unix(0, context, "nothing.test.sock", 0, 0), ENOENT);
    REFUSED(us_socket_context_listen_unix(0, context, path, 0, -1), EINVAL);
    REFUSED(us_socket_context_connect_unix(0, context, path, 0, -1), EINVAL);
    REFUSED(us_socket_context_connect(0, context, "no.such.host.invalid", 1, NULL, 0, 0),
        ENETUNREACH);
    REFUSED(us_socket_context_connect(0, context, "127.0.0.1", 70000, NULL, 0, 0), EINVAL);
    REFUSED(us_socket_context_listen(0, context, "127.0.0.1", -1, 0, 0), EINVAL);
    REFUSED(us_adopt_accepted_socket(0, context, -1, 0, NULL, 0), EINVAL);
    finish();
    /* (W24) */
    begin("a port that is taken, or shared", 0);
    errno = 0;
    struct us_listen_socket_t *other = us_socket_context_listen(0, context, "127.0.0.1", port,
        LIBUS_LISTEN_EXCLUSIVE_PORT, 0);
    SAY("taken %d, errno %d", other == NULL, errno == EADDRINUSE);
    other = us_socket_context_listen(0, context, "127.0.0.1", port, LIBUS_LISTEN_DEFAULT, 0);
    SAY("shared %d, the same port %d", other != NULL,
        us_socket_local_port(0, (Socket *) other) == port);
    us_listen_socket_close(0, other);
    us_listen_socket_close(0, other);
    us_listen_socket_close(0, listener);
    finish();
    if (!make_deaf()) return 1;
    begin("a timeout while connecting, given up", 0);
    us_listen_socket_close(0, listener);
    us_socket_timeout(0, start_deaf(), 1);
    on.timeout = give_up; on.connect_error = say_error; on.close = never_closed;
    finish();
    begin("a timeout while connecting, left", 0);
    us_listen_socket_close(0, listener);
    us_socket_timeout(0, start_deaf(), 1);
    on.timeout = wait_on; on.connect_error = say_error; on.close = never_closed;
    finish();
    /* (W8) */
    begin("a write before it opens", 0);
    Socket *early = connect_one();
    static char much[1 << 20];
    SAY("takes %d and %d", us_socket_write(0, early, much, sizeof much, 0),
        us_socket_write2(0, early, "x", 1, much, sizeof much));
    on.open = write_first_turns; on.data = echo_end;
    finish();
    /* (W8) */
    begin("closing the context of one that connects", 0);
    us_listen_socket_close(0, listener);
    Socket *s = start_deaf();
    SAY("a write takes %d", us_socket_write(0, s, "x", 1, 0));
    us_socket_timeout(0, s, 1);
    us_socket_timeout(0, s, 0);
    after(1300, stop);
    on.timeout = wait_on; on.connect_error = say_error; on.close = never_closed;
    finish();
    close(filler[0]);
    close(filler[1]);
    close(deaf);
    return 0;
}
/* Prints:
-- nobody there
on_connect_error 0, established 0, reason 4
opened 0 and 0, closed 0
-- a name
address of 4 bytes, 0 without room; ports 1 1
opened 1 and 1, closed 2
-- every address
address of 4 bytes, 0 without room; ports 1 1
opened 1 and 1, closed 2
-- from an address of one's own
address of 4 bytes, 0 without room; ports 1 1
opened 1 and 1, closed 2
-- a path
listens 1, for oneself only 1
address of 0 bytes, ports -1 -1
the server got over a path
opened 1 and 1, closed 2
-- a path whose peer writes and goes at once
1000 bytes, then the end
opened 1 and 1, closed 2
-- a path of something else
listens 0, errno 1, the file is there 1
listens 1
listens 1
opened 0 and 0, closed 0
-- a path that is too long, a name that is none
EINVAL: 1 1
EINVAL: 1 1
ENOENT: 1 1
EINVAL: 1 1
EINVAL: 1 1
ENETUNREACH: 1 1
EINVAL: 1 1
EINVAL: 1 1
EINVAL: 1 1
opened 0 and 0, closed 0
-- a port that is taken, or shared
taken 1, errno 1
shared 1, the same port 1
opened 0 and 0, closed 0
-- a timeout while connecting, given up
on_timeout, established 0
opened 0 and 0, closed 0
-- a timeout while connecting, left
on_timeout, established 0
on_connect_error 0, established 0, reason 2
opened 0 and 0, closed 0
-- a write before it opens
takes 0 and 0
opens within ten turns 1
the server got in time
opened 1 and 1, closed 2
-- closing the context of one that connects
a write takes 0
opened 0 and 0, closed 0
*/
