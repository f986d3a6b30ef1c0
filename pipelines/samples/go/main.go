// Greets whoever asks: GET /NAME answers with a line of text.
package main

import (
	"fmt"
	"log"
	"net/http"
	"strings"
)

// greeting is the answer to a path, as in /world.
func greeting(path string) string {
	name := strings.Trim(path, "/")
	if name == "" {
		name = "world"
	}
	return fmt.Sprintf("Hello, %s!\n", name)
}

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprint(answer, greeting(request.URL.Path))
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
