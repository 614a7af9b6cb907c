#include "base/check.h"
#include "base/http_inside.h"
#include "base/own.h"
#include <string.h>

enum { HEAD_MAX = 64 * 1024 };

// ---- what libcurl calls ----

static void tell_head(struct http_call *call) {
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    bool interim = status < 200 && status != 101;
    if (call->head_told || interim)
        return;
    call->head_told = true;
    call->status = (int)status;
    struct http_reply head = {.call = call, .status = call->status, .body = ""};
    if (call->on_head)
        call->on_head(&head, call->arg);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
    struct http_call *call = arg;
    size_t len = size * count;
    if (call->dead)
        return 0;
    call->head_len += len;
    if (call->head_len > HEAD_MAX) {
        err_set(&call->err, ERR_LIMIT, "%s %.200s: header over %d bytes", call->method, call->url,
                HEAD_MAX);
        return 0;
    }
    bool blank = data[0] == '\n' || (len == 2 && data[0] == '\r');
    if (blank)
        tell_head(call);
    return call->dead ? 0 : len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg) {
    struct http_call *call = arg;
    size_t len = size * count;
    if (call->dead)
        return 0;
    if (call->on_data) {
        int stop = call->on_data(data, len, call->arg);
        if (stop && !call->dead)
            err_set(&call->err, ERR_CANCELLED, "%s %.200s: not wanted any more", call->method,
                    call->url);
        return stop || call->dead ? 0 : len;
    }
    if (len > call->max_reply - call->reply.len) {
        err_set(&call->err, ERR_LIMIT, "%s %.200s: reply over %zu bytes", call->method, call->url,
                call->max_reply);
        return 0;
    }
    text_addn(&call->reply, data, len);
    return len;
}

// ---- TLS ----

static char *host_of(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    bool v6 = *host == '[';
    return v6 ? xstrndup(host + 1, strcspn(host + 1, "]")) : xstrndup(host, strcspn(host, ":/?"));
}

// The connection stands, nothing of the request has been sent. Libcurl's own check is off: it wants
// files.
static int before_request(void *arg, char *ip, char *own_ip, int port, int own_port) {
    (void)ip;
    (void)own_ip;
    (void)port;
    (void)own_port;
    struct http_call *call = arg;
    struct curl_tlssessioninfo *info = NULL;
    if (call->dead)
        return CURL_PREREQFUNC_ABORT;
    bool there = curl_easy_getinfo(call->easy, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK && info &&
                 info->backend == CURLSSLBACKEND_GNUTLS;
    auto_free char *host = host_of(call->url);
    const char *names[] = {call->tls_name ? call->tls_name : host, call->tls_name ? host : NULL,
                           NULL};
    bool any = call->tls_name && !*call->tls_name;
    if (!tls_trust_check(call->trust, there ? info->internals : NULL, any ? NULL : names,
                         &call->err))
        return CURL_PREREQFUNC_OK;
    err_wrap(&call->err, "%s %.200s", call->method, call->url);
    return CURL_PREREQFUNC_ABORT;
}

static void set_tls(struct http_call *call) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, call->tls ? "http,https" : "http");
    if (call->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    if (!call->trust || strncmp(call->url, "https:", 6) != 0)
        return;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); // a resumed one shows no certificate
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
}

// ---- before it begins ----

static void set_method(struct http_call *call) {
    CURL *easy = call->easy;
    bool posts = call->body || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT") ||
                 !strcmp(call->method, "PATCH");
    if (posts) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    }
    if (!strcmp(call->method, "HEAD"))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_limits(struct http_call *call) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_ms);
    if (call->timeout_ms == 0 && !call->unix_socket)
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (call->fresh) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
}

CURLcode http_set_up(struct http_call *call) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    set_limits(call);
    set_tls(call);
    set_method(call);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, call->url);
    if (code == CURLE_OK && call->unix_socket)
        code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    return code;
}
