#!/bin/sh
# Makes the files of this folder with openssl 3: ./make.sh. They are committed,
# so that the tests read what openssl writes without needing it. The password
# of all that have one is "pass word-ü"; nothing here protects anything.
set -eu
cd "$(dirname "$0")"
rm -f ./*.pem ./*.pfx
p='pass:pass word-ü'

openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 36500 -subj '/CN=graphrelay test CA'
openssl req -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.csr -subj '/CN=graphrelay test'
openssl x509 -req -in rsa.csr -CA ca.crt -CAkey ca.key -out rsa.crt -days 36500 -set_serial 7
openssl ecparam -name prime256v1 -genkey -noout -out ec.key
openssl req -x509 -key ec.key -out ec.crt -days 36500 -subj '/CN=graphrelay test EC'

cat rsa.key rsa.crt > pkcs8.pem
cat rsa.key rsa.crt ca.crt > chain.pem
{ openssl rsa -in rsa.key -traditional; cat rsa.crt; } > pkcs1.pem
{ openssl pkcs8 -topk8 -in rsa.key -passout "$p"; cat rsa.crt; } > encrypted.pem
{ openssl pkcs8 -topk8 -in rsa.key -v2 des3 -v2prf hmacWithSHA1 -passout "$p"; cat rsa.crt; } > encrypted-3des.pem
{ openssl pkcs8 -topk8 -in rsa.key -scrypt -passout "$p"; cat rsa.crt; } > encrypted-scrypt.pem
{ openssl pkcs8 -topk8 -in rsa.key -v1 PBE-SHA1-3DES -passout "$p"; cat rsa.crt; } > encrypted-pbes1.pem
{ openssl rsa -in rsa.key -traditional -aes256 -passout "$p"; cat rsa.crt; } > encrypted-traditional.pem
cat ec.key ec.crt > ec-sec1.pem
{ openssl pkcs8 -topk8 -nocrypt -in ec.key; cat ec.crt; } > ec-pkcs8.pem
{ openssl pkcs8 -topk8 -in ec.key -passout "$p"; cat ec.crt; } > ec-encrypted.pem

openssl pkcs12 -export -inkey rsa.key -in rsa.crt -certfile ca.crt -out modern.pfx -passout "$p"
openssl pkcs12 -export -inkey rsa.key -in rsa.crt -certfile ca.crt -out legacy.pfx -legacy -passout "$p"
openssl pkcs12 -export -inkey rsa.key -in rsa.crt -out no-password.pfx -passout pass:
openssl pkcs12 -export -inkey ec.key -in ec.crt -out ec.pfx -passout "$p"
openssl pkcs12 -export -nokeys -in rsa.crt -out no-key.pfx -passout "$p"
rm -f ./*.key ./*.crt ./*.csr ./*.srl
