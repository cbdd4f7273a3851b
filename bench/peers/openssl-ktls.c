/*
 * OpenSSL with its own kernel TLS as one side of a transfer: the peer that the kernel engine is
 * measured against. A program in C, because kernel TLS needs SSL_set_fd, which no safe binding has.
 *
 *     openssl-ktls version
 *     openssl-ktls send|file|receive BYTES PIECE SUITE DIRECTORY [FILE]
 *
 * DIRECTORY holds cert.pem and key.pem. Descriptor 0 is the connected TCP socket, over which it is
 * the server; on descriptor 1 it speaks as bench/src/vm/side.rs says.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* As in bench/src/vm/side.rs. */
#define WARM_UP (256 << 10)

static void fail(const char *what)
{
	fprintf(stderr, "openssl-ktls: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static long long cpu_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now))
		fail("clock_gettime");
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static SSL *handshake(const char *suite, const char *directory)
{
	char certificate[4096], key[4096];
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	snprintf(certificate, sizeof(certificate), "%s/cert.pem", directory);
	snprintf(key, sizeof(key), "%s/key.pem", directory);
	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(context, suite))
		fail("no context");
	if (SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		fail("no certificate");
	SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
	ssl = SSL_new(context);
	if (!ssl || !SSL_set_fd(ssl, 0) || SSL_accept(ssl) != 1)
		fail("no handshake");
	return ssl;
}

static void send_writes(SSL *ssl, long long bytes, size_t piece)
{
	char *data = aligned_alloc(4096, piece);

	if (!data)
		fail("no memory");
	memset(data, 0x5a, piece);
	while (bytes > 0) {
		size_t wanted = bytes < (long long)piece ? (size_t)bytes : piece;
		size_t written;

		/* Without partial writes, it returns when all has been written. */
		if (SSL_write_ex(ssl, data, wanted, &written) != 1)
			fail("SSL_write");
		bytes -= written;
	}
}

static void send_file(SSL *ssl, long long bytes, int file)
{
	off_t at = 0;

	while (at < bytes) {
		ossl_ssize_t sent = SSL_sendfile(ssl, file, at, bytes - at, 0);

		if (sent <= 0)
			fail("SSL_sendfile");
		at += sent;
	}
}

static void receive(SSL *ssl, long long bytes, size_t piece)
{
	char *data = aligned_alloc(4096, piece);

	if (!data)
		fail("no memory");
	memset(data, 0, piece);
	while (bytes > 0) {
		size_t wanted = bytes < (long long)piece ? (size_t)bytes : piece;
		size_t got;

		if (SSL_read_ex(ssl, data, wanted, &got) != 1)
			fail("SSL_read");
		bytes -= got;
	}
}

static void transfer(SSL *ssl, const char *role, long long bytes, size_t piece, int file)
{
	if (!strcmp(role, "send"))
		send_writes(ssl, bytes, piece);
	else if (!strcmp(role, "file"))
		send_file(ssl, bytes, file);
	else if (!strcmp(role, "receive"))
		receive(ssl, bytes, piece);
	else
		fail("no such role");
}

int main(int argc, char **argv)
{
	char go[16];
	int file = -1;
	long long bytes, began;
	size_t piece;
	SSL *ssl;

	if (argc == 2 && !strcmp(argv[1], "version")) {
		puts(OpenSSL_version(OPENSSL_VERSION));
		return 0;
	}
	if (argc < 6)
		fail("too few arguments");
	bytes = atoll(argv[2]);
	piece = atoll(argv[3]);
	if (argc > 6 && (file = open(argv[6], O_RDONLY)) < 0)
		fail("no file");
	ssl = handshake(argv[4], argv[5]);
	dprintf(1, "ready %s %s\n", BIO_get_ktls_send(SSL_get_wbio(ssl)) ? "kernel" : "user",
		BIO_get_ktls_recv(SSL_get_rbio(ssl)) ? "kernel" : "user");
	if (read(1, go, sizeof(go)) <= 0)
		fail("nobody says go");
	transfer(ssl, argv[1], WARM_UP, piece, file);
	began = cpu_ns();
	transfer(ssl, argv[1], bytes, piece, file);
	dprintf(1, "done %lld\n", cpu_ns() - began);
	return 0;
}
