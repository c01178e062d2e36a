// SPDX-License-Identifier: Apache-2.0
// ASCII armor off. The library's own reader takes no block without a blank line behind its headers,
// and looks at the first block only.
#include "openpgp/armor.h"

#include <string.h>

#include "data/base64.h"
#include "util/cleanup.h"

#define BEGIN    "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define END      "-----END PGP PUBLIC KEY BLOCK-----"
#define CRC_INIT 0xb704ceu
#define CRC_POLY 0x1864cfbu

static uint32_t crc24(const char *p, size_t n)
{
	uint32_t crc = CRC_INIT;

	for (size_t i = 0; i < n; i++) {
		crc ^= (uint32_t)(unsigned char)p[i] << 16;
		for (int bit = 0; bit < 8; bit++) {
			crc <<= 1;
			if (crc & 0x1000000)
				crc ^= CRC_POLY;
		}
	}
	return crc;
}

// "Version: GnuPG v2": base64 has no colon.
static bool is_header(struct str line)
{
	return memchr(line.p, ':', line.n) != NULL;
}

static int check_crc(struct str packets, struct str line, struct err *e)
{
	auto_free char *sum = NULL;
	size_t n;

	if (!base64_decode((struct str){line.p + 1, line.n - 1}, &sum, &n) || n != 3)
		return err_set(e, ERR_INPUT, "the checksum of the armor is malformed");
	uint32_t want = (uint32_t)(unsigned char)sum[0] << 16 |
			(uint32_t)(unsigned char)sum[1] << 8 | (unsigned char)sum[2];

	if (crc24(packets.p, packets.n) != want)
		return err_set(e, ERR_INPUT, "the checksum of the armor is wrong");
	return 0;
}

// What stands between BEGIN and END; *text goes behind END.
static int decode_block(struct buf *ret, struct str *text, struct err *e)
{
	auto_buf struct buf body = BUF_INIT(ret->max);
	auto_free char *packets = NULL;
	struct str sum = {0};
	bool headers = true;
	size_t n;

	for (;;) {
		struct str line = str_trim(str_cut(text, '\n'));

		if (str_eqz(line, END))
			break;
		if (!text->p)
			return err_set(e, ERR_INPUT, "the armor has no end");
		if (line.n == 0 || (headers && is_header(line)))
			continue;
		headers = false;
		if (line.n == 5 && line.p[0] == '=')
			sum = line;
		else if (buf_add(&body, line.p, line.n, e) < 0)
			return -1;
	}
	if (!base64_decode(buf_str(&body), &packets, &n))
		return err_set(e, ERR_INPUT, "the armor is not base64");
	if (sum.p && check_crc((struct str){packets, n}, sum, e) < 0)
		return -1;
	return buf_add(ret, packets, n, e);
}

int armor_decode_keys(struct buf *ret, struct str text, struct err *e)
{
	bool found = false;

	while (text.p) {
		if (!str_eqz(str_trim(str_cut(&text, '\n')), BEGIN))
			continue;
		if (decode_block(ret, &text, e) < 0)
			return -1;
		found = true;
	}
	if (!found)
		return err_set(e, ERR_INPUT, "no OpenPGP public key block found");
	return 0;
}
