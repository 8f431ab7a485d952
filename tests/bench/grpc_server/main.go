// A fast gRPC server for comparisons of clients: helloworld.Greeter/SayHello on one thread. It knows nothing of who
// calls. The first line of stdout is its port; at SIGTERM it prints how many calls it answered.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const lifetime = 10 * time.Minute

var calls atomic.Uint64

// HelloRequest and HelloReply are each one string in field 1, and so is StringValue: on the wire they are the same, and
// nothing has to be generated.
func sayHello(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	name := new(wrapperspb.StringValue)
	if err := decode(name); err != nil {
		return nil, err
	}
	calls.Add(1)
	return wrapperspb.String("Hello " + name.GetValue()), nil
}

var greeter = grpc.ServiceDesc{
	ServiceName: "helloworld.Greeter",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "SayHello", Handler: sayHello}},
}

func main() {
	port := flag.Int("port", 0, "on 127.0.0.1; 0: a free one")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&greeter, nil)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)

	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	go func() {
		select {
		case <-told:
		case <-time.After(lifetime):
			log.Print("ten minutes are over")
		}
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	fmt.Println("calls", calls.Load())
}
