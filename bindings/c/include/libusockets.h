/* The C interface of usockets, source-compatible with the header of this name of µSockets.
 *
 * One loop belongs to one thread. Only us_wakeup_loop may be called from another; in debug builds
 * of the library any other call from a wrong thread ends the program.
 *
 * Every block that the library gives out (loop, timer, context, socket) has memory of the
 * program's behind it, its ext, of the size asked for, aligned to LIBUS_EXT_ALIGNMENT. It is not
 * initialised and never moves; see us_socket_context_adopt_socket.
 *
 * `ssl` is there for compatibility and only looked at when a context is made: from then on
 * everything knows by itself whether it is secured. A library that was built without TLS looks at
 * it nowhere and has everything in the clear, as µSockets built with LIBUS_NO_SSL.
 *
 * Any callback may be left out or be NULL: nothing is called then. A socket without an on_end is
 * closed when its peer ends. Any callback but on_server_name may throw a C++ exception, which
 * leaves us_loop_run or us_loop_poll, whichever runs; the loop can then be run again and goes on
 * where it was. What on_data was given counts as delivered. A connection whose on_pre_open or
 * on_open threw is reset and gets no on_close.
 *
 * What differs from µSockets, because the original is wrong there:
 *  - A pointer to a socket that moved or closed does nothing until the iteration is over, and a
 *    socket that moves keeps its events. us_adopt_accepted_socket returns where on_open moved it.
 *  - Bytes that came before the peer's end, a hang-up or an error are delivered first.
 *  - on_end comes once. A short write neither resumes a paused socket nor a finished one.
 *  - Timeouts and timers never fire early, counted from the time of the running iteration, do not
 *    wrap, and are not tied to a common tick.
 *  - A write that came short is always followed by on_writable, after us_socket_write2 as well,
 *    and no write raises SIGPIPE. Of room that others have a socket is not told.
 *  - A write to a socket that still connects takes nothing, and it opens all the same.
 *  - Without free descriptors or sockets a listener pauses and goes on when there are some; the
 *    loop does not spin. A listener, and a socket that is read, yield to the others, and none is
 *    put aside: each is read, timed and closed, also while others shake hands.
 *  - us_socket_context_close closes every socket, whatever on_close does meanwhile; connecting
 *    ones get no on_close.
 *  - A context in which nothing is left may be freed inside of any callback.
 *  - us_loop_run counts only what it should: closing a fallthrough timer does not end it.
 *  - Nothing ticks in an idle loop. A timer is no descriptor, and a timeout takes no memory.
 *  - Every address of a host is tried, to listen and to connect, until one can be had.
 *  - us_socket_close_reason says why the library closed a socket. What returns NULL says why in
 *    errno, but for contexts whose files cannot be used.
 *  - A path that is too long for a socket of the file system is refused, and what is at a path and
 *    is no socket stays.
 *  - A buffer takes the memory that is written to, whatever its size.
 *  - A listener is no socket: what a function of sockets does to it is nothing, but for its port
 *    and its descriptor.
 *  - TLS clients verify the server's name. A server with ca_file_name demands a certificate of
 *    every client, also one that it has for a name. A stream that was cut off does not end in order.
 *  - The library prints nothing.
 *  - Datagrams: IPv6 addresses are whole, drain_cb is called, errors that come back for a datagram
 *    are none of the socket's, and sockets and buffers can be freed.
 *
 * A library built with the feature smoltcp has TCP in user space, on a TAP of Linux, instead of the
 * kernel's, and no datagrams. The environment says which: USOCKETS_TAP=us0,
 * USOCKETS_IP=10.77.0.2/24 (or several, with commas), and USOCKETS_GATEWAY if packets leave the
 * link. There is one loop, as a TAP has one user; us_create_loop is NULL without one. There are no
 * descriptors: us_poll_fd is -1, on_pre_open is not called, us_socket_shutdown_read does nothing,
 * sockets of the file system and us_adopt_accepted_socket are refused with EOPNOTSUPP, and
 * us_loop_fd tells of frames only, not of us_wakeup_loop. us_loop_run returns when peers have taken
 * everything that closed sockets left.
 *
 * What is not here, on purpose: QUIC; SSL and SSL_CTX handles, as certificates and keys are loaded
 * from PEM files; TLS below 1.3; TLS clients that verify nothing; polls of one's own; runs inside
 * of runs; us_socket_send_buffer; us_udp_socket_bind, which µSockets declares but does not have.
 */
#ifndef LIBUSOCKETS_H
#define LIBUSOCKETS_H

/* Most bytes of one on_data. */
#define LIBUS_RECV_BUFFER_LENGTH 524288
/* Bytes before and behind the data of on_data that the callback may write to. */
#define LIBUS_RECV_BUFFER_PADDING 32
/* Seconds. Kept for programs that read it: timeouts here are exact to 16 ms, and never early. */
#define LIBUS_TIMEOUT_GRANULARITY 4
#define LIBUS_EXT_ALIGNMENT 16
/* Datagrams of a buffer, and bytes of each. */
#define LIBUS_UDP_MAX_NUM 1024
#define LIBUS_UDP_MAX_SIZE 65528
#ifdef _WIN32
/* A SOCKET. There are no datagrams on Windows, no TLS, no sockets of the file system, no
 * us_adopt_accepted_socket and no us_loop_fd; on_pre_open is not called, and ports are never
 * shared. */
#define LIBUS_SOCKET_DESCRIPTOR unsigned long long
#else
#define LIBUS_SOCKET_DESCRIPTOR int
#define LIBUS_USE_EPOLL
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* Other listeners may share the port (SO_REUSEPORT), as threads of one server do. */
    LIBUS_LISTEN_DEFAULT,
    /* The port is this listener's alone. */
    LIBUS_LISTEN_EXCLUSIVE_PORT
};

/* For us_poll_events and us_poll_change. */
enum { LIBUS_SOCKET_READABLE = 1, LIBUS_SOCKET_WRITABLE = 4 };

/* Why a socket is gone; see us_socket_close_reason. */
enum {
    LIBUS_REASON_PROGRAM = 0,     /* the program closed it */
    LIBUS_REASON_FINISHED = 1,    /* both directions ended in order */
    LIBUS_REASON_TIMED_OUT = 2,   /* the peer did not answer in time */
    LIBUS_REASON_RESET = 3,       /* the peer reset the connection */
    LIBUS_REASON_REFUSED = 4,     /* the peer refused it */
    LIBUS_REASON_UNREACHABLE = 5, /* no way leads to the peer */
    LIBUS_REASON_TRUNCATED = 6,   /* the stream ended without the end that TLS has */
    LIBUS_REASON_TLS = 7,         /* one side broke TLS, or refused the other's certificate */
    LIBUS_REASON_EXHAUSTED = 8,   /* no memory, descriptors or sockets */
    LIBUS_REASON_OTHER = 9
};

struct us_loop_t;
struct us_timer_t;
struct us_socket_context_t;
struct us_socket_t;
struct us_listen_socket_t;
struct us_poll_t;
struct us_udp_socket_t;
struct us_udp_packet_buffer_t;

/* Files of a TLS context, in PEM; NULL where there is none. Copied and read when the context is
 * made. */
struct us_socket_context_options_t {
    /* The private key of the first certificate, not encrypted: P-256 or Ed25519, with aws-lc also
     * P-384 or RSA. A context with the key of another certificate is NULL. */
    const char *key_file_name;
    /* The own certificate, then its issuers. */
    const char *cert_file_name;
    /* Ignored: an encrypted key is not read, and a context with one is NULL. */
    const char *passphrase;
    /* Ignored: TLS 1.3 has no such parameters. */
    const char *dh_params_file_name;
    /* Whom to trust. A client needs it to connect; a server with it demands a certificate of
     * every client (µSockets serves clients without one). */
    const char *ca_file_name;
    /* Ignored: all suites of TLS 1.3 are good. */
    const char *ssl_ciphers;
    /* Ignored: memory is always low. */
    int ssl_prefer_low_memory_usage;
};

/* What a loop did so far. */
struct us_loop_statistics_t {
    unsigned long long iterations; /* iterations, each of which waits once */
    unsigned long long accepted;   /* connections accepted */
    unsigned long long connected;  /* connections that this side opened */
    unsigned long long failed;     /* connections that never opened */
    unsigned long long pauses;     /* times a listener ran out of sockets or descriptors */
    unsigned long long received;   /* bytes */
    unsigned long long sent;       /* bytes */
    unsigned int open;             /* connections open now */
    unsigned int capacity;         /* most sockets and listeners at a time */
};

/* ---- Loops ---- */

/* Makes a loop. NULL without memory or descriptors. wakeup_cb is called on the loop's thread after
 * us_wakeup_loop, pre_cb before the loop waits, post_cb after all other calls of an iteration.
 *
 * `hint` is ignored, but by libraries built with the features libuv and gcd.
 *
 * With libuv it is a uv_loop_t, inside of which the loop then runs, or NULL for a loop of its own.
 * uv_run serves it, and does not return while the loop has sockets, listeners or timers;
 * us_loop_run is uv_run. An iteration of the loop, with pre_cb and post_cb, comes when it has
 * something to do. Callbacks must not throw there. Free the loop before the uv_loop_t, which must
 * run once more to let go of it.
 *
 * With gcd it is a dispatch_queue_t of macOS, on which the loop then runs, or NULL for a loop of
 * its own: the main queue, or one that runs one thing at a time. The loop is made, used and freed on
 * that queue alone, which stands for its thread. The queue serves it, and us_loop_run returns at
 * once; a program whose queue is the main one ends with dispatch_main or CFRunLoopRun. Callbacks
 * must not throw there. */
struct us_loop_t *us_create_loop(void *hint, void (*wakeup_cb)(struct us_loop_t *loop),
    void (*pre_cb)(struct us_loop_t *loop), void (*post_cb)(struct us_loop_t *loop),
    unsigned int ext_size);

/* Frees a loop and the sockets that are left, which are closed without calls. Not from a callback,
 * and timers and contexts are freed by their own functions before. */
void us_loop_free(struct us_loop_t *loop);

void *us_loop_ext(struct us_loop_t *loop);

/* Runs the loop on the calling thread until nothing is left that could make a call: no socket, no
 * listener, no timer that is not fallthrough. Does nothing inside of a callback. */
void us_loop_run(struct us_loop_t *loop);

/* Does nothing. Deadlines are part of the loop's wait. */
void us_loop_integrate(struct us_loop_t *loop);

/* Wakes the loop from any thread, or a signal handler. Wake-ups that come before the loop has
 * seen the first are one. */
void us_wakeup_loop(struct us_loop_t *loop);

/* Counts iterations. */
long long us_loop_iteration_number(struct us_loop_t *loop);

/* Beyond µSockets, for programs with a loop of their own: a descriptor that is readable when the
 * loop has something to do; -1 if there is none. Only to wait for, with epoll or poll. */
int us_loop_fd(struct us_loop_t *loop);

/* Beyond µSockets: runs one iteration without waiting. Returns the milliseconds after which to
 * call it again even if the descriptor was not readable: 0 for at once, -1 for never. -1 inside of
 * a callback. */
int us_loop_poll(struct us_loop_t *loop);

/* Beyond µSockets. */
struct us_loop_statistics_t us_loop_statistics(struct us_loop_t *loop);

/* ---- Timers ---- */

/* Makes a timer, not armed. A fallthrough timer does not keep us_loop_run from returning. NULL
 * without memory. A timer takes neither a descriptor nor a socket. */
struct us_timer_t *us_create_timer(struct us_loop_t *loop, int fallthrough,
    unsigned int ext_size);

void *us_timer_ext(struct us_timer_t *timer);

/* Frees a timer at once, also inside of its own callback. */
void us_timer_close(struct us_timer_t *timer);

/* Arms a timer, whatever it was set to: cb comes after `ms`, then every `repeat_ms`; with one of
 * them 0 the other stands for it or nothing follows; with both 0 it is disarmed. Never early.
 * Repeats that passed because the loop was busy are one call, and the following do not drift. */
void us_timer_set(struct us_timer_t *timer, void (*cb)(struct us_timer_t *t), int ms,
    int repeat_ms);

struct us_loop_t *us_timer_loop(struct us_timer_t *t);

/* ---- Contexts ---- */

/* Makes a group of sockets with the same callbacks. NULL without memory; with TLS also when a file
 * cannot be used. */
struct us_socket_context_t *us_create_socket_context(int ssl, struct us_loop_t *loop,
    int ext_size, struct us_socket_context_options_t options);

/* Makes a context with callbacks of its own that shares its parent's certificates. For adopting
 * sockets into. The parent must be freed last. */
struct us_socket_context_t *us_create_child_socket_context(int ssl,
    struct us_socket_context_t *context, int context_ext_size);

/* Frees a context, whose sockets and listeners must all be closed. */
void us_socket_context_free(int ssl, struct us_socket_context_t *context);

/* Closes every listener and every socket of the context; each open one gets its on_close, with 0
 * and NULL, before this returns. Sockets that on_close connects meanwhile may be closed too. */
void us_socket_context_close(int ssl, struct us_socket_context_t *context);

void *us_socket_context_ext(int ssl, struct us_socket_context_t *context);
struct us_loop_t *us_socket_context_loop(int ssl, struct us_socket_context_t *context);

/* Always NULL. */
void *us_socket_context_get_native_handle(int ssl, struct us_socket_context_t *context);

/* The time in steps of 4 s, modulo 240. */
unsigned short us_socket_context_timestamp(int ssl, struct us_socket_context_t *context);

/* Names of a TLS server, each with its own certificate and, if ca_file_name is given, its own
 * demand for client certificates. A pattern is a DNS name, in which a label may be `*`. Upper and
 * lower case are the same. Nothing happens if a file cannot be used; find tells. */
void us_socket_context_add_server_name(int ssl, struct us_socket_context_t *context,
    const char *hostname_pattern, struct us_socket_context_options_t options, void *user);
void us_socket_context_remove_server_name(int ssl, struct us_socket_context_t *context,
    const char *hostname_pattern);
/* Called during a handshake that asks for a name without a pattern, which the callback may add.
 * Must not throw, and only reaches the functions of names. */
void us_socket_context_on_server_name(int ssl, struct us_socket_context_t *context,
    void (*cb)(struct us_socket_context_t *context, const char *hostname));
/* The user pointer of this very pattern; NULL if there is none. */
void *us_socket_context_find_server_name_userdata(int ssl, struct us_socket_context_t *context,
    const char *hostname_pattern);
/* The user pointer of the pattern that the socket's peer asked for; NULL if it asked for none. */
void *us_socket_server_name_userdata(int ssl, struct us_socket_t *s);

/* An accepted connection, before anything else is known of it. `ip` has 4 or 16 bytes, 0 without an
 * address. Return `fd` to go on; anything else keeps the descriptor, which is then the program's,
 * for us_adopt_accepted_socket of this or another loop. For this loop only us_wakeup_loop does
 * anything inside of it. */
void us_socket_context_on_pre_open(int ssl, struct us_socket_context_t *context,
    LIBUS_SOCKET_DESCRIPTOR (*on_pre_open)(struct us_socket_context_t *context,
        LIBUS_SOCKET_DESCRIPTOR fd, char *ip, int ip_length));

/* The callbacks of open sockets return the socket, or the one that us_socket_context_adopt_socket
 * returned; what they return is not looked at, as the library knows. */

/* A connection is open, with TLS after its handshake. `ip` is the peer's, 4 or 16 bytes; of a
 * connection that this side made and of sockets of the file system there is none. */
void us_socket_context_on_open(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_open)(struct us_socket_t *s, int is_client, char *ip,
        int ip_length));

/* A socket is closed: by us_socket_close, with its code and reason and before it returns, or by
 * the library, with 0 and NULL; us_socket_close_reason then says why. */
void us_socket_context_on_close(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_close)(struct us_socket_t *s, int code, void *reason));

/* Bytes came, 1 to LIBUS_RECV_BUFFER_LENGTH. They, and LIBUS_RECV_BUFFER_PADDING bytes on both
 * sides, may be written to until the callback returns. */
void us_socket_context_on_data(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_data)(struct us_socket_t *s, char *data, int length));

/* There is room again after a write that came short. */
void us_socket_context_on_writable(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_writable)(struct us_socket_t *s));

/* The peer ended its direction, and everything it sent was delivered. Not called when this side
 * has ended too, or with TLS: the socket is then closed. */
void us_socket_context_on_end(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_end)(struct us_socket_t *s));

/* The time of us_socket_timeout, or of us_socket_long_timeout, is over; it is disarmed. */
void us_socket_context_on_timeout(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_timeout)(struct us_socket_t *s));
void us_socket_context_on_long_timeout(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_timeout)(struct us_socket_t *s));

/* A connection could not be opened; us_socket_close_reason says why, `code` is 0. The socket is
 * gone afterwards, without an on_close. */
void us_socket_context_on_connect_error(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *(*on_connect_error)(struct us_socket_t *s, int code));

/* ---- Listening ---- */

/* Listens at the first address of a host that can be, IPv6 ones first, or at every address if host
 * is NULL; with port 0 at one of the kernel's choice. Waits for the resolver unless host is an
 * address. NULL, with errno, if that cannot be. Sockets get socket_ext_size bytes of ext. */
struct us_listen_socket_t *us_socket_context_listen(int ssl, struct us_socket_context_t *context,
    const char *host, int port, int options, int socket_ext_size);

/* Listens at a path, which only the own user may connect to. A socket that is there is unlinked
 * first; of anything else errno is EADDRINUSE. */
struct us_listen_socket_t *us_socket_context_listen_unix(int ssl,
    struct us_socket_context_t *context, const char *path, int options, int socket_ext_size);

void us_listen_socket_close(int ssl, struct us_listen_socket_t *ls);

/* Takes over a connection that was accepted elsewhere; the descriptor is the library's from here
 * on. Without TLS on_open is called before it returns. With TLS the handshake comes first: on_open
 * is called when it is done, and NULL is returned. */
struct us_socket_t *us_adopt_accepted_socket(int ssl, struct us_socket_context_t *context,
    LIBUS_SOCKET_DESCRIPTOR client_fd, unsigned int socket_ext_size, char *addr_ip,
    int addr_ip_length);

/* ---- Connecting ---- */

/* Connects to a host, from source_host unless it is NULL: to its addresses one after the other,
 * until one answers. Waits for the resolver unless they are addresses. NULL, with errno, if it
 * cannot even be tried. on_open follows, or on_connect_error. Until then writes take nothing, and
 * the timeouts limit the time to connect: on_timeout or on_long_timeout is called, then
 * on_connect_error unless the callback gave up with us_socket_close_connecting. Both are disarmed when it opens. A TLS client expects `host`
 * in the peer's certificate. */
struct us_socket_t *us_socket_context_connect(int ssl, struct us_socket_context_t *context,
    const char *host, int port, const char *source_host, int options, int socket_ext_size);

struct us_socket_t *us_socket_context_connect_unix(int ssl, struct us_socket_context_t *context,
    const char *server_path, int options, int socket_ext_size);

/* 0 while a socket connects, and for listeners. */
int us_socket_is_established(int ssl, struct us_socket_t *s);

/* Gives up a connection that has not opened. Neither on_close nor on_connect_error follows. */
struct us_socket_t *us_socket_close_connecting(int ssl, struct us_socket_t *s);

/* ---- Sockets ----
 *
 * A pointer to a socket is good until the end of the iteration in which the socket closed, or was
 * moved by us_socket_context_adopt_socket. From then to the end of that iteration every call on it
 * does nothing, and us_socket_is_closed is 1. */

/* Moves a socket to another context with ext_size bytes of ext: in place if it has that much, else
 * to a new block, to which the ext is copied. No event is lost or made; the timeouts are disarmed.
 * NULL without memory, and then nothing happened. */
struct us_socket_t *us_socket_context_adopt_socket(int ssl, struct us_socket_context_t *context,
    struct us_socket_t *s, int ext_size);

/* Writes up to length bytes and returns how many were taken, 0 to length; on_writable follows if
 * that is less and the socket is open. With msg_more the kernel may wait for more to send. 0 for a
 * socket that is closed, shut down or broken; on_close then follows after what the peer sent. */
int us_socket_write(int ssl, struct us_socket_t *s, const char *data, int length, int msg_more);

/* Writes two parts in one system call, with TLS too. */
int us_socket_write2(int ssl, struct us_socket_t *s, const char *header, int header_length,
    const char *payload, int payload_length);

/* Sends what msg_more held back. */
void us_socket_flush(int ssl, struct us_socket_t *s);

/* Sets one of a socket's two timeouts; 0 disarms it. Exact up to 200 days, and
 * for longer times 200 days. */
void us_socket_timeout(int ssl, struct us_socket_t *s, unsigned int seconds);
void us_socket_long_timeout(int ssl, struct us_socket_t *s, unsigned int minutes);

void *us_socket_ext(int ssl, struct us_socket_t *s);
struct us_socket_context_t *us_socket_context(int ssl, struct us_socket_t *s);

/* Ends this direction after everything that was taken; what the peer sends is still received. */
void us_socket_shutdown(int ssl, struct us_socket_t *s);

/* Ends the other direction: on_end follows in the next iteration, or on_close with TLS. On Windows
 * it follows when the peer ends, and nothing is received until then. */
void us_socket_shutdown_read(int ssl, struct us_socket_t *s);

int us_socket_is_shut_down(int ssl, struct us_socket_t *s);
int us_socket_is_closed(int ssl, struct us_socket_t *s);

/* Closes a socket at once; on_close comes before it returns. Returns what on_close returned. */
struct us_socket_t *us_socket_close(int ssl, struct us_socket_t *s, int code, void *reason);

/* Beyond µSockets: inside of on_close and on_connect_error, why the library closed the socket. */
int us_socket_close_reason(int ssl, struct us_socket_t *s);

/* Ports, or -1. */
int us_socket_local_port(int ssl, struct us_socket_t *s);
int us_socket_remote_port(int ssl, struct us_socket_t *s);

/* Writes the peer's address, 4 or 16 bytes, and its length; 0 if there is none or no room. */
void us_socket_remote_address(int ssl, struct us_socket_t *s, char *buf, int *length);

/* The descriptor as a pointer, with TLS too. */
void *us_socket_get_native_handle(int ssl, struct us_socket_t *s);

/* ---- A socket as a poll ----
 *
 * A socket's pointer may be cast to a poll's. Without LIBUS_SOCKET_READABLE among the events it is
 * paused; when to report room is known without being told. */
int us_poll_events(struct us_poll_t *p);
void us_poll_change(struct us_poll_t *p, struct us_loop_t *loop, int events);
/* The descriptor, or -1. */
LIBUS_SOCKET_DESCRIPTOR us_poll_fd(struct us_poll_t *p);
void *us_poll_ext(struct us_poll_t *p);

/* ---- Datagrams ----
 *
 * A datagram socket is one of the loop's sockets, which keeps us_loop_run from returning. Its
 * pointer may be cast to a poll's. Datagrams are sent and received by the buffer: up to
 * LIBUS_UDP_MAX_NUM of up to LIBUS_UDP_MAX_SIZE bytes, as many as a datagram can have. A buffer
 * belongs to one thread; what of it is used takes memory, the rest 67 MB of address space. */

/* Makes a buffer; NULL without memory. */
struct us_udp_packet_buffer_t *us_create_udp_packet_buffer(void);

/* Beyond µSockets: frees a buffer, whose sockets must be closed and gone, which they are after the
 * iteration in which they closed. */
void us_udp_packet_buffer_free(struct us_udp_packet_buffer_t *buf);

/* Opens a socket at a host's address, an IPv6 one if there is, or at every address of both families
 * if host is NULL; with port 0 at one of the kernel's choice. NULL, with errno, if that cannot be.
 * data_cb comes with the datagrams that were received into `buf`, or into a buffer of the socket's
 * own if that is NULL; what it does not look at then is gone. drain_cb comes when there is room
 * after us_udp_socket_send took fewer than it was given. */
struct us_udp_socket_t *us_create_udp_socket(struct us_loop_t *loop,
    struct us_udp_packet_buffer_t *buf,
    void (*data_cb)(struct us_udp_socket_t *s, struct us_udp_packet_buffer_t *buf, int count),
    void (*drain_cb)(struct us_udp_socket_t *s), const char *host, unsigned short port, void *user);

/* Beyond µSockets: closes a socket. Its pointer is good until the iteration is over. */
void us_udp_socket_close(struct us_udp_socket_t *s);

/* The user pointer that the socket was made with. */
void *us_udp_socket_user(struct us_udp_socket_t *s);

int us_udp_socket_bound_port(struct us_udp_socket_t *s);

/* Receives what has come into a buffer and returns how many; 0 if nothing has. For reading on
 * inside of data_cb; otherwise data_cb comes by itself. */
int us_udp_socket_receive(struct us_udp_socket_t *s, struct us_udp_packet_buffer_t *buf);

/* Of a datagram that was received: its bytes and how many, which may also be written to; its
 * sender, a struct sockaddr_in or sockaddr_in6 (an IPv4 address never comes as an IPv6 one); the
 * own address that it was sent to, of which 4 or 16 bytes are written to `ip`, 0 if it is not
 * known; its congestion mark (RFC 3168). */
char *us_udp_packet_buffer_payload(struct us_udp_packet_buffer_t *buf, int index);
int us_udp_packet_buffer_payload_length(struct us_udp_packet_buffer_t *buf, int index);
char *us_udp_packet_buffer_peer(struct us_udp_packet_buffer_t *buf, int index);
int us_udp_packet_buffer_local_ip(struct us_udp_packet_buffer_t *buf, int index, char *ip);
int us_udp_packet_buffer_ecn(struct us_udp_packet_buffer_t *buf, int index);

/* Puts a datagram for `peer_addr`, a struct sockaddr_in or sockaddr_in6, into a buffer: `length`
 * bytes behind `offset` bytes that are there already. */
void us_udp_buffer_set_packet_payload(struct us_udp_packet_buffer_t *send_buf, int index,
    int offset, void *payload, int length, void *peer_addr);

/* Sends the first `num` datagrams of a buffer and returns how many were taken. Fewer, 0 included,
 * if there is no room, and drain_cb follows; or if the next cannot be sent at all. -1, with errno,
 * if that is the first. */
int us_udp_socket_send(struct us_udp_socket_t *s, struct us_udp_packet_buffer_t *buf, int num);

#ifdef __cplusplus
}
#endif

#endif
