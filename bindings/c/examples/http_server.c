/* Says hello over HTTP/1.1, or HTTPS: http_server [PORT [CERTIFICATE KEY]].
 *
 * Every request that has no body is answered, however the bytes come. */
#include <libusockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char response[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";

/* How far the end of a request's head, "\r\n\r\n", has come, and what is still to be answered. */
struct connection {
    int seen, unsent;
};

static int is_secure;

static struct us_socket_t *answer(struct us_socket_t *s) {
    struct connection *own = (struct connection *) us_socket_ext(is_secure, s);
    const int length = sizeof response - 1;
    while (own->unsent > 0) {
        int begun = own->unsent % length;
        int left = begun ? begun : length;
        int sent = us_socket_write(is_secure, s, response + length - left, left, 0);
        own->unsent -= sent;
        if (sent < left) break;
    }
    return s;
}

static struct us_socket_t *on_open(struct us_socket_t *s, int is_client, char *ip, int ip_length) {
    (void) is_client; (void) ip; (void) ip_length;
    struct connection *own = (struct connection *) us_socket_ext(is_secure, s);
    own->seen = own->unsent = 0;
    us_socket_timeout(is_secure, s, 10);
    return s;
}

static struct us_socket_t *on_data(struct us_socket_t *s, char *data, int length) {
    struct connection *own = (struct connection *) us_socket_ext(is_secure, s);
    us_socket_timeout(is_secure, s, 10);
    for (int i = 0; i < length; i++) {
        if (data[i] == "\r\n\r\n"[own->seen]) {
            if (++own->seen == 4) {
                own->seen = 0;
                own->unsent += sizeof response - 1;
            }
        } else {
            own->seen = data[i] == '\r';
        }
    }
    return answer(s);
}

static struct us_socket_t *close_it(struct us_socket_t *s) {
    return us_socket_close(is_secure, s, 0, NULL);
}

int main(int argc, char **argv) {
    struct us_socket_context_options_t options = {0};
    if (argc > 3) {
        is_secure = 1;
        options.cert_file_name = argv[2];
        options.key_file_name = argv[3];
    }
    struct us_loop_t *loop = us_create_loop(NULL, NULL, NULL, NULL, 0);
    if (!loop) return 1;
    struct us_socket_context_t *context = us_create_socket_context(is_secure, loop, 0, options);
    if (!context) {
        fprintf(stderr, "the certificate or the key cannot be used\n");
        return 1;
    }
    us_socket_context_on_open(is_secure, context, on_open);
    us_socket_context_on_data(is_secure, context, on_data);
    us_socket_context_on_writable(is_secure, context, answer);
    us_socket_context_on_end(is_secure, context, close_it);
    us_socket_context_on_timeout(is_secure, context, close_it);
    struct us_listen_socket_t *listener = us_socket_context_listen(is_secure, context, NULL,
        argc > 1 ? atoi(argv[1]) : 3000, 0, sizeof(struct connection));
    if (!listener) {
        perror("listen");
        return 1;
    }
    printf("serves at port %d\n", us_socket_local_port(0, (struct us_socket_t *) listener));
    fflush(stdout);
    us_loop_run(loop);
    us_socket_context_free(is_secure, context);
    us_loop_free(loop);
    return 0;
}
