/* Fetches a page: client HOST PORT [PATH [AUTHORITY]]. With the certificate of an authority, over
 * TLS. Ends with 0 if a page came, and says why not otherwise. */
#include <libusockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_secure;
static char request[1024];
static long received;
static int reason;

static const char *words[] = {
    "closed", "finished", "timed out", "reset", "refused", "unreachable", "cut off",
    "TLS failed", "exhausted", "failed",
};

static struct us_socket_t *on_open(struct us_socket_t *s, int is_client, char *ip, int ip_length) {
    (void) is_client; (void) ip; (void) ip_length;
    /* It fits: the connection is new. */
    us_socket_write(is_secure, s, request, (int) strlen(request), 0);
    us_socket_timeout(is_secure, s, 10);
    return s;
}

static struct us_socket_t *on_data(struct us_socket_t *s, char *data, int length) {
    received += length;
    fwrite(data, 1, (size_t) length, stdout);
    us_socket_timeout(is_secure, s, 10);
    return s;
}

static struct us_socket_t *on_end(struct us_socket_t *s) {
    return us_socket_close(is_secure, s, 0, NULL);
}

static struct us_socket_t *on_close(struct us_socket_t *s, int code, void *text) {
    (void) code; (void) text;
    reason = us_socket_close_reason(is_secure, s);
    return s;
}

static struct us_socket_t *on_timeout(struct us_socket_t *s) {
    fprintf(stderr, "no answer for ten seconds\n");
    if (us_socket_is_established(is_secure, s)) return us_socket_close(is_secure, s, 0, NULL);
    return us_socket_close_connecting(is_secure, s);
}

static struct us_socket_t *on_connect_error(struct us_socket_t *s, int code) {
    (void) code;
    reason = us_socket_close_reason(is_secure, s);
    return s;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "client HOST PORT [PATH [AUTHORITY]]\n");
        return 2;
    }
    struct us_socket_context_options_t options = {0};
    is_secure = argc > 4;
    if (is_secure) options.ca_file_name = argv[4];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
        argc > 3 ? argv[3] : "/", argv[1]);
    struct us_loop_t *loop = us_create_loop(NULL, NULL, NULL, NULL, 0);
    if (!loop) return 1;
    struct us_socket_context_t *context = us_create_socket_context(is_secure, loop, 0, options);
    if (!context) {
        fprintf(stderr, "the authority's certificate cannot be used\n");
        return 1;
    }
    us_socket_context_on_open(is_secure, context, on_open);
    us_socket_context_on_data(is_secure, context, on_data);
    us_socket_context_on_end(is_secure, context, on_end);
    us_socket_context_on_close(is_secure, context, on_close);
    us_socket_context_on_timeout(is_secure, context, on_timeout);
    us_socket_context_on_connect_error(is_secure, context, on_connect_error);
    struct us_socket_t *s =
        us_socket_context_connect(is_secure, context, argv[1], atoi(argv[2]), NULL, 0, 0);
    if (s) us_socket_timeout(is_secure, s, 10);
    else perror("connect");
    us_loop_run(loop);
    us_socket_context_free(is_secure, context);
    us_loop_free(loop);
    if (received > 0) return 0;
    fprintf(stderr, "nothing came: %s\n", words[reason]);
    return 1;
}
