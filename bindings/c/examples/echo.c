/* Sends back what comes: echo [PORT]. Holds a peer up that does not take it. */
#include <libusockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a socket has taken and not sent back yet. */
struct connection {
    char *held;
    int length;
};

static struct connection *connection(struct us_socket_t *s) {
    return (struct connection *) us_socket_ext(0, s);
}

static struct us_socket_t *on_open(struct us_socket_t *s, int is_client, char *ip, int length) {
    (void) is_client; (void) ip; (void) length;
    memset(connection(s), 0, sizeof(struct connection));
    us_socket_timeout(0, s, 60);
    return s;
}

static struct us_socket_t *on_data(struct us_socket_t *s, char *data, int length) {
    us_socket_timeout(0, s, 60);
    int sent = us_socket_write(0, s, data, length, 0);
    if (sent < length) {
        struct connection *own = connection(s);
        own->held = malloc(length - sent);
        if (!own->held) return us_socket_close(0, s, 0, NULL);
        own->length = length - sent;
        memcpy(own->held, data + sent, own->length);
        /* Nothing more is read until it is gone. */
        us_poll_change((struct us_poll_t *) s, us_socket_context_loop(0, us_socket_context(0, s)),
            LIBUS_SOCKET_WRITABLE);
    }
    return s;
}

static struct us_socket_t *on_writable(struct us_socket_t *s) {
    struct connection *own = connection(s);
    int sent = us_socket_write(0, s, own->held, own->length, 0);
    own->length -= sent;
    memmove(own->held, own->held + sent, own->length);
    if (own->length == 0) {
        free(own->held);
        own->held = NULL;
        us_poll_change((struct us_poll_t *) s, us_socket_context_loop(0, us_socket_context(0, s)),
            LIBUS_SOCKET_READABLE);
    }
    return s;
}

static struct us_socket_t *on_end(struct us_socket_t *s) {
    us_socket_shutdown(0, s);
    return s;
}

static struct us_socket_t *on_timeout(struct us_socket_t *s) {
    return us_socket_close(0, s, 0, NULL);
}

static struct us_socket_t *on_close(struct us_socket_t *s, int code, void *reason) {
    (void) code; (void) reason;
    free(connection(s)->held);
    return s;
}

int main(int argc, char **argv) {
    struct us_socket_context_options_t options = {0};
    struct us_loop_t *loop = us_create_loop(NULL, NULL, NULL, NULL, 0);
    if (!loop) return 1;
    struct us_socket_context_t *context = us_create_socket_context(0, loop, 0, options);
    us_socket_context_on_open(0, context, on_open);
    us_socket_context_on_data(0, context, on_data);
    us_socket_context_on_writable(0, context, on_writable);
    us_socket_context_on_end(0, context, on_end);
    us_socket_context_on_timeout(0, context, on_timeout);
    us_socket_context_on_close(0, context, on_close);
    struct us_listen_socket_t *listener = us_socket_context_listen(0, context, NULL,
        argc > 1 ? atoi(argv[1]) : 3000, 0, sizeof(struct connection));
    if (!listener) {
        perror("listen");
        return 1;
    }
    printf("echoes at port %d\n", us_socket_local_port(0, (struct us_socket_t *) listener));
    fflush(stdout);
    us_loop_run(loop);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    return 0;
}
