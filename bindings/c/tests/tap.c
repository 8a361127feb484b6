/* The TCP stack in user space, across a TAP, against the kernel's TCP: tap KERNEL STACK, the two
 * addresses. USOCKETS_TAP and USOCKETS_IP say the same to the library. */
#include "harness.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UP = 1000000, DOWN = 2000000 };

static const char *kernel, *stack;
static char block[65536];
static int received, sent, kernel_port, kernel_listener;
/* What the kernel's client saw. */
static long kernel_sent;
static int kernel_got, wrong;

static struct sockaddr_in address(const char *ip, int number) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short) number);
    inet_pton(AF_INET, ip, &at.sin_addr);
    return at;
}

/* Sends UP bytes and ends, then expects DOWN bytes and the end. */
static void *kernel_client(void *unused) {
    (void) unused;
    struct sockaddr_in at = address(stack, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long left = UP, got;
    char buffer[65536];
    if (connect(fd, (struct sockaddr *) &at, sizeof at)) perror("connect");
    while (left > 0) {
        got = write(fd, block, left < (long) sizeof block ? (size_t) left : sizeof block);
        if (got <= 0) break;
        left -= got;
    }
    shutdown(fd, SHUT_WR);
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        for (long i = 0; i < got; i++) {
            wrong += buffer[i] != block[(kernel_got + i) % (long) sizeof block];
        }
        kernel_got += (int) got;
    }
    close(fd);
    kernel_sent = UP - left;
    return NULL;
}

static Socket *say_peer(Socket *s, int is_client) {
    char ip[16], text[INET_ADDRSTRLEN] = "";
    int length = sizeof ip;
    us_socket_remote_address(0, s, ip, &length);
    if (length == 4) inet_ntop(AF_INET, ip, text, sizeof text);
    SAY("the %s opened: peer %d, own port %d, descriptor %d", is_client ? "client" : "server",
        strcmp(text, kernel), is_client || us_socket_local_port(0, s) == port,
        us_poll_fd((struct us_poll_t *) s));
    return s;
}

static Socket *count(Socket *s, char *data, int length) {
    for (int i = 0; i < length; i++) {
        if (data[i] != block[(received + i) % (int) sizeof block]) SAY("a wrong byte");
    }
    data[-1] = data[length] = 1;
    received += length;
    return s;
}

static Socket *send_down(Socket *s) {
    while (sent < DOWN) {
        int at = sent % (int) sizeof block, length = (int) sizeof block - at;
        if (length > DOWN - sent) length = DOWN - sent;
        int taken = us_socket_write(0, s, block + at, length, 0);
        sent += taken;
        if (taken < length) return s;
    }
    us_socket_shutdown(0, s);
    return s;
}

static Socket *answer(Socket *s) {
    SAY("on_end after %d bytes", received);
    us_listen_socket_close(0, listener);
    return send_down(s);
}

static void woken(void) { SAY("woken"); }

static Socket *greet(Socket *s, int is_client) {
    say_peer(s, is_client);
    us_socket_write2(0, s, "hello ", 6, "kernel", 6);
    return s;
}

static Socket *echoed(Socket *s, char *data, int length) {
    SAY("the client got %.*s", length, data);
    return us_socket_close(0, s, 5, NULL);
}

static Socket *say_close(Socket *s, int code, void *reason) {
    SAY("on_close %d %d, reason %d", code, reason != NULL, us_socket_close_reason(0, s));
    return s;
}

static Socket *say_error(Socket *s, int code) {
    SAY("on_connect_error %d, reason %d", code, us_socket_close_reason(0, s));
    return s;
}

static Socket *give_up(Socket *s) {
    SAY("on_timeout, established %d", us_socket_is_established(0, s));
    us_socket_close_connecting(0, s);
    return s;
}

static void *kernel_echo(void *unused) {
    (void) unused;
    char buffer[64];
    int fd = accept(kernel_listener, NULL, NULL);
    long got = read(fd, buffer, 12);
    us_wakeup_loop(loop);
    if (got == 12 && write(fd, buffer, 12) == 12) while (read(fd, buffer, 1) > 0) {}
    close(fd);
    return NULL;
}

static void listen_in_kernel(void) {
    struct sockaddr_in at = address(kernel, 0);
    socklen_t length = sizeof at;
    kernel_listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(kernel_listener, (struct sockaddr *) &at, sizeof at)) perror("bind");
    listen(kernel_listener, 8);
    getsockname(kernel_listener, (struct sockaddr *) &at, &length);
    kernel_port = ntohs(at.sin_port);
}

static Socket *connect_to(const char *ip, int number) {
    return us_socket_context_connect(0, context, ip, number, NULL, 0, sizeof(struct data));
}

/* As begin, without the listener: 127.0.0.1 is none of the stack's. */
static void begin_alone(const char *name) {
    begin(name, 0);
    if (listener) SAY("listens at an address of the kernel");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    kernel = argv[1];
    stack = argv[2];
    for (size_t i = 0; i < sizeof block; i++) block[i] = (char) (i * 7 + i / 251);

    begin_alone("from the kernel");
    listener = us_socket_context_listen(0, context, NULL, 4000, 0, sizeof(struct data));
    port = us_socket_local_port(0, (Socket *) listener);
    on.open = say_peer;
    on.data = count;
    on.end = answer;
    on.writable = send_down;
    on.close = say_close;
    pthread_t thread;
    pthread_create(&thread, NULL, kernel_client, NULL);
    finish();
    pthread_join(thread, NULL);
    SAY("the kernel sent %ld and got %d, %d of them wrong", kernel_sent, kernel_got, wrong);

    begin_alone("to the kernel");
    listen_in_kernel();
    on.wake = woken;
    pthread_create(&thread, NULL, kernel_echo, NULL);
    on.open = greet;
    on.data = echoed;
    on.close = say_close;
    connect_to(kernel, kernel_port);
    finish();
    pthread_join(thread, NULL);
    close(kernel_listener);

    begin_alone("refused, and given up");
    on.connect_error = say_error;
    on.timeout = give_up;
    connect_to(kernel, kernel_port);
    /* An address of the link that nobody has. */
    char nobody[64];
    snprintf(nobody, sizeof nobody, "%.*s.99", (int) (strrchr(kernel, '.') - kernel), kernel);
    us_socket_timeout(0, connect_to(nobody, 1), 1);
    finish();

    begin_alone("what there is not");
    errno = 0;
    struct us_listen_socket_t *local =
        us_socket_context_listen_unix(0, context, "/tmp/usockets-tap", 0, 0);
    SAY("a path: %d %d", local != NULL, errno == EOPNOTSUPP);
    unlink("/tmp/usockets-tap");
    errno = 0;
    Socket *adopted = us_adopt_accepted_socket(0, context, dup(0), 0, NULL, 0);
    SAY("a descriptor: %d %d", adopted != NULL, errno == EOPNOTSUPP);
    struct us_loop_t *other = us_create_loop(NULL, NULL, NULL, NULL, 0);
    SAY("a second loop: %d; a descriptor of the loop: %d", other != NULL, us_loop_fd(loop) >= 0);
    finish();
    return 0;
}

/* Prints:
-- from the kernel
the server opened: peer 0, own port 1, descriptor -1
on_end after 1000000 bytes
on_close 0 0, reason 1
opened 1 and 0, closed 1
the kernel sent 1000000 and got 2000000, 0 of them wrong
-- to the kernel
the client opened: peer 0, own port 1, descriptor -1
woken
the client got hello kernel
on_close 5 0, reason 0
opened 0 and 1, closed 1
-- refused, and given up
on_connect_error 0, reason 4
on_timeout, established 0
opened 0 and 0, closed 0
-- what there is not
a path: 0 1
a descriptor: 0 1
a second loop: 0; a descriptor of the loop: 1
opened 0 and 0, closed 0
*/
