// SPDX-License-Identifier: Apache-2.0
// argv in, exit status out.
int main(void)
{
	return 0;
}
